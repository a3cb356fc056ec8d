"""fastpysgi as its README starts it: module:attribute, port, workers."""

import importlib
import sys

import fastpysgi

module, attribute = sys.argv[1].split(":")
application = getattr(importlib.import_module(module), attribute)
fastpysgi.run(application, host="127.0.0.1", port=int(sys.argv[2]), workers=int(sys.argv[3]))
