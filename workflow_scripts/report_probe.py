"""Rule report_probe: what a probe found, in sentences and as a figure."""

from persona_geometry.logs import job_log
from persona_geometry.probe.files import read_probe
from persona_geometry.report.figures.probe import probe_figure
from persona_geometry.report.figures.style import save
from persona_geometry.report.markdown import write_markdown
from persona_geometry.report.probe import describe_probe

output = snakemake.output
with job_log(snakemake.log[0]):
    found = read_probe(snakemake.input.probe)
    write_markdown(output.summary, describe_probe(found, snakemake.params.layers))
    drawing = probe_figure(found, snakemake.params.width)
    save(drawing, output.png.removesuffix(".png"))
