// The official JavaScript client against the server that KUBECONFIG names: one line of JSON tells what it saw.
import { KubeConfig, CoreV1Api, AppsV1Api, CustomObjectsApi, KubernetesObjectApi, Watch, VersionApi,
  makeInformer, setHeaderOptions, PatchStrategy } from "@kubernetes/client-node";

const namespace = process.argv[2];
const config = new KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(CoreV1Api);
const seen = { informer: [], watch: [] };

const settled = (events, count) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`only ${JSON.stringify(events)}`)), 20000);
  const check = setInterval(() => {
    if (events.length < count) return;
    clearTimeout(timer); clearInterval(check); resolve();
  }, 10);
});

seen.minor = (await config.makeApiClient(VersionApi).getCode()).minor;
const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "a" }, data: { x: "1" } } });
seen.uid = Boolean(made.metadata.uid) && made.metadata.creationTimestamp instanceof Date;

const list = () => core.listNamespacedConfigMap({ namespace, fieldSelector: "metadata.name=a" });
const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
for (const event of ["add", "update", "delete"]) informer.on(event, (one) => {
  if (one.metadata.name === "a") seen.informer.push(event);
});
informer.on("error", (error) => seen.informer.push(String(error)));
await informer.start();

const watch = new Watch(config);
const controller = await watch.watch(`/api/v1/namespaces/${namespace}/configmaps`, { fieldSelector: "metadata.name=a" },
  (type, one) => seen.watch.push(`${type} ${one.metadata.name}`), () => {});
await settled(seen.watch, 1);

for (const [strategy, body] of [
  [PatchStrategy.MergePatch, { data: { y: "2" } }],
  [PatchStrategy.JsonPatch, [{ op: "add", path: "/data/z", value: "3" }]],
  [PatchStrategy.StrategicMergePatch, { data: { x: null } }],
]) await core.patchNamespacedConfigMap({ namespace, name: "a", body }, setHeaderOptions("Content-Type", strategy));
seen.data = (await core.readNamespacedConfigMap({ namespace, name: "a" })).data;

const generic = KubernetesObjectApi.makeApiClient(config);
const applied = await generic.patch({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "b", namespace }, data: { k: "v" } },
  undefined, undefined, "node-tests", true, PatchStrategy.ServerSideApply);
seen.applied = applied.metadata.managedFields[0].operation;
const labels = { app: "web" };
const web = await config.makeApiClient(AppsV1Api).createNamespacedDeployment({ namespace, body: { metadata: { name: "web" },
  spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } } } } });
seen.strategy = web.spec.strategy.type;
seen.missing = await core.readNamespacedPod({ namespace, name: "none" }).catch((error) => error.code);
seen.custom = await config.makeApiClient(CustomObjectsApi)
  .listClusterCustomObject({ group: "apiregistration.k8s.io", version: "v1", plural: "apiservices" }).then((found) => found.kind);
await core.deleteNamespacedConfigMap({ namespace, name: "a" });
await settled(seen.informer, 5);
await settled(seen.watch, 5);
console.log(JSON.stringify(seen));  // before stopping, which the informer reports as an error of its own
await informer.stop();
controller.abort();
