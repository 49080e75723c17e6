"""A cluster of an ordinary user: root of user, mount and network namespaces of its own, where all is the same code.

`enter` is how a command gets inside; `keeper` is the process that keeps the namespaces and leads ports in; `outside`
lets what runs inside connect to what is outside; `ids` says which ids the user may use there.
"""
