"""report.html: the written result of a study as one self-contained file.

sections   what each part of the page says, from sourced content
explore    the numbers behind the charts, in few bytes
render     template, style and charts put together, and linted
lint       no numeral without a source, no verb that a result does not bear
"""
