"""How times look in the operator's desk; Django finds this by FORMAT_MODULE_PATH."""
