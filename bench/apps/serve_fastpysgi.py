"""fastpysgi as its README starts it, with one worker."""

import importlib
import sys

import fastpysgi

application = importlib.import_module(sys.argv[1]).app
fastpysgi.run(application, host="127.0.0.1", port=int(sys.argv[2]), workers=1)
