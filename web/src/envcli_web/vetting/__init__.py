"""The reviewer's page: the evidence about a release, and the command that decides. The site itself decides nothing."""
