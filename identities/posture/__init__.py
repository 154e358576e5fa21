"""Posture: how well an identity proves itself, what it could do, what is wrong with it. Explained, versioned, honest.

`facts` are what is known about one identity, `assurance`, `exposure` and `rules` are pure functions over them, `policy`
holds the numbers they use, `gathering` fetches facts set-based and `evaluate` writes the results down.
"""
