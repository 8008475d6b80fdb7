"""Where the bundled window starts; the same as the command ``xnat-pic``."""

from uploader.gui.app import main

if __name__ == "__main__":
    main()
