"""What a user tells the linter, from the command line down to the defaults, and how it is obeyed.

`layers` says which keys there are and merges what several sources set; `files` and `schema` read
a configuration; `chooser` answers with the settings of one model; `plan` turns them into rules to
run; `judge`, `suppressions` and `baseline` decide which findings count.
"""
