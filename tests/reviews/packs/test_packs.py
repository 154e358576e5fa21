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
    open("/tmp/c-report.html","w").write(read.text("report.html"))
    assert 0
