"""Pickle, the one place of it, and only by consent.

To read a pickle is to run the program that is in it. So a value is pickled only when the step says
`@step(pickle=True)`, and one is read only when the step (or flow) that reads it says so *in today's
code* and the ledger has recorded these very bytes: `values` asks for the first, `memo` for the
second. No stored byte can give the consent.
"""

import pickle
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from trivet.core.errors import Corrupt, NotFound
from trivet.pipelines.materialisers import Files

FORMAT: Final = "pickle"
"""The format recorded with a pickled value: in the step's fact, the run's outputs, the lineage."""
_FILE: Final = "value.pickle"


def dump(value: object) -> Mapping[str, bytes]:
    """Pickle a value: by cloudpickle where that is installed, which takes local functions, too.

    Raises:
        Exception: It cannot be pickled; which error says so is its class's own choice.
    """
    library = import_module("cloudpickle") if find_spec("cloudpickle") else pickle
    return {_FILE: library.dumps(value, protocol=5)}


def load(files: Files) -> object:
    """Unpickle: run the program in the bytes. Call it only where the reader has consented.

    Raises:
        NotFound: A module or class in it is not there any more.
        Corrupt: It is no pickle.
    """
    try:
        return pickle.loads(files[_FILE])  # noqa: S301  # by consent, see above
    except (ImportError, AttributeError) as error:
        raise NotFound(f"a pickled value needs what is not there: {error}", code="no-class") from (
            error
        )
    except (pickle.UnpicklingError, EOFError, LookupError) as error:
        raise Corrupt(
            f"a pickled value does not read back: {error}", hint="Run `trivet fsck`."
        ) from error
