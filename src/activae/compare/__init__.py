"""The answer: which condition wins, and how sure that is.

`collect` reads run folders into a table, `statistics` has the formulas as pure functions on
(seeds x conditions) arrays, `answer` goes from the table to a verdict with its caveats.
`race` trains only until the answer is certain: `race.evidence` says who leaves.
In: folders of runs. Out: a table, and an Answer that can be printed.
"""
