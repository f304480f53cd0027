"""How long an optimizer step takes, here and elsewhere: contenders in processes, in turn.

`workload` says what is trained on, `contenders` by whom; a `worker` process runs one contender on
one workload whenever `race`, in the parent process, asks for a lap. `start_up` times whole runs.
`report` and `targets` say what came of it. The parent and the Keras process import no torch.
"""
