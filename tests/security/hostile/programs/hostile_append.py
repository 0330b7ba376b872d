"""Add a line to a file of the user, such as a shell's start-up file."""


def attack(path: str) -> str:
    with open(path, "a") as file:
        file.write("touched\n")
    return "written"
