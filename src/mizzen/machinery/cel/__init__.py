"""CEL as Kubernetes speaks it: rules of custom resources, admission policies, match conditions.

The evaluator is Google's, imported on first use; Kubernetes' own functions are added to it.
Ref: https://kubernetes.io/docs/reference/using-api/cel/
"""

from mizzen.machinery.cel.program import CelError, Program, compile_expression, evaluate_variables

__all__ = ["CelError", "Program", "compile_expression", "evaluate_variables"]
