"""The command line: parse, call one function, write, exit status.

Nothing that is slow to import is imported here: ``scotoma --help`` answers at once.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Sequence

import click

from scotoma import __version__
from scotoma.cli import status
from scotoma.cli.audit import audit
from scotoma.cli.diff import diff
from scotoma.cli.help import Group
from scotoma.cli.lint import lint
from scotoma.cli.measure import measure
from scotoma.cli.output import complain, tolerate_any_encoding
from scotoma.cli.rules import explain, rules
from scotoma.cli.schema import schema
from scotoma.cli.sizes import sizes
from scotoma.cli.trace import trace
from scotoma.errors import RuleLoadError, ScotomaError, UsageError

EPILOG = """\b
Exit status, the first that applies:
  2  the call was wrong
  3  a model could not be read or run, a rule crashed, a report could not be
     written, or the budget of an audit did not suffice
  1  findings at or above --fail-on, or something got worse (diff)
  0  otherwise
"""

GARBAGE = 100_000
"""So many new objects call for a look at whether some are garbage in cycles."""


@click.group(
    cls=Group,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="scotoma")
def group() -> None:
    """Scotoma finds the blind spots of ONNX vision models.

    From the graph alone; `measure`, `audit` and `diff --measure` run the models as well. Begin with
    `scotoma lint model.onnx`; `scotoma COMMAND --help` tells the rest.
    """


for command in (lint, audit, trace, sizes, measure, diff, rules, explain, schema):
    group.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    tolerate_any_encoding()
    # The facts of a large graph are millions of objects that live on: by default the collector
    # looks at them again and again, which doubles the time.
    gc.set_threshold(GARBAGE, 10, 10)
    # The threads of numpy wait for each other longer than they work on arrays of this size, and
    # how they share a sum depends on the machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        result = group.main(args=given, prog_name="scotoma", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return status.INTERRUPTED
    except (UsageError, RuleLoadError) as error:
        complain(str(error))
        return status.WRONG_CALL
    except ScotomaError as error:
        complain(str(error))
        return status.FAILED
    except OSError as error:
        if "--debug" in given:
            raise
        where = f" {error.filename}" if error.filename else ""
        complain(f"cannot read or write{where}: {error.strerror or error}")
        return status.FAILED
    except Exception as error:  # noqa: BLE001  the last resort: a line instead of a traceback
        if "--debug" in given:
            traceback.print_exc()
        else:
            complain(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return status.FAILED
    return result if isinstance(result, int) else status.FINE
