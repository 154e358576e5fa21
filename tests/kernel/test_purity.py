import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import pkgutil, sys
import governance.kernel
before = set(sys.stdlib_module_names)
for module in pkgutil.walk_packages(governance.kernel.__path__, "governance.kernel."):
    __import__(module.name)
foreign = {name.partition(".")[0] for name in sys.modules} - before - {"governance", "__main__", "__mp_main__"}
print(sorted(name for name in foreign if not name.startswith("_")))
"""


def test_the_kernel_loads_neither_django_nor_anything_that_has_to_be_installed():
    found = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )

    assert found.stdout.strip() == "[]"
