"""What a run has recorded, and its newest snapshot."""


def steps(search):
    return [event for event in search.events if event.kind != "recovered"]


def said(search):
    return [event.message for event in search.events if event.kind == "recovered"]


def newest(run):
    return max((run / "snapshots").glob("step-*.snapshot"))
