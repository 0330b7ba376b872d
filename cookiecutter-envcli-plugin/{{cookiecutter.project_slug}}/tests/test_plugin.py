{% include cookiecutter.plugin_type ~ "/test_plugin.py.jinja" -%}
