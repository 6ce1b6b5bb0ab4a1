"""What `manage.py bench` measures, one module a kind of row; `report` has the table and `scratch` the processes."""
