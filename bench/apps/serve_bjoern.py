"""bjoern as its README starts it."""

import importlib
import sys

import bjoern

bjoern.run(importlib.import_module(sys.argv[1]).app, "127.0.0.1", int(sys.argv[2]))
