{% include cookiecutter.plugin_type ~ "/plugin.py.jinja" -%}
