"""Rule report_probe: what a probe found, in sentences and as a figure."""

from persona_geometry.files import write_text
from persona_geometry.logs import job_log
from persona_geometry.probe.files import read_probe
from persona_geometry.report.figures.probe import probe_figure
from persona_geometry.report.figures.style import save
from persona_geometry.report.probe import describe_probe

output = snakemake.output
with job_log(snakemake.log[0]):
    found = read_probe(snakemake.input.probe)
    write_text(output.summary, describe_probe(found, snakemake.params.layers))
    save(*probe_figure(found), output.png, output.pdf, output.tsv)
