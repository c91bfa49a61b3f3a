"""
Both platforms' services as one stateful local server, for demos and for tests of code that talks to them.

It is written from the services' public documents and from nothing else. It shares no code with the clients of this
package, so a misreading there is not repeated here.

Importing this package needs the standard library only. Starting the server needs the extra ``emulator`` (fastapi and
uvicorn).
"""

from .testing import AudiencesEmulator, AudiencesEmulatorControl

__all__ = ["AudiencesEmulator", "AudiencesEmulatorControl"]
