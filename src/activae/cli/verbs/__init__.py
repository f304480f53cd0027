"""The verbs of scripts/use.py: a module for each, or for a few that are alike.

A verb is one function, `act(options: argparse.Namespace) -> None`, which raises UserError for what
the user can mend, and one sub-parser. Its module has `add(verbs)`, which makes them known:

    def add(verbs: Verbs) -> None:
        parser = new_verb(verbs, "export", export, "write the network as ONNX")
        parser.add_argument("output", type=Path, metavar="OUTPUT")

To add a verb, write its module and name it in MODULES. `common` has what verbs share: RUN,
--device, --force, opening the run. Modules import torch and the like inside of functions: --help
should not wait for them.
"""

MODULES = (
    "transform",
    "probe",
    "nll",
    "compression",
    "rate_distortion",
    "export",
    "explore",
    "sampling",
    "evaluate",
)
