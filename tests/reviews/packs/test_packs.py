"""A pack end to end: what its files say, about each other, about the database, and about the trail."""

from governance.kernel.actors import system_actor


def test_first(story, opened):
    story.read("revoked")
    pack = story.pack()
    assert pack.state == "ready", pack.problem
    read = opened(pack)
    print(read.names)
    for name in read.names:
        if name not in ("report.html",):
            print("=====", name); print(read.text(name)[:3000])
    import shutil; from reviews.packs.places import file_of; shutil.copy(file_of(pack), "/tmp/c-pack/p.zip")
    assert 0
