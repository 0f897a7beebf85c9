# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A finished study in a notebook
#
# Run `make demo` first, and open this file in the root of the repository, in an editor that knows
# percent cells (VS Code, PyCharm, Jupyter with jupytext), or run it: `python docs/notebook.py`.

# %%
from matplotlib.figure import Figure

from persona_geometry import mantel, open_study
from persona_geometry.rsa.permutation import Permutations

study = open_study("results/demo")
print(study.statistics[["spearman", "mantel_p", "partial_joint", "residual_mean_marginal"]])

# %% [markdown]
# ## One statistic again
#
# RDMs carry their names, so personas are chosen by name. Here the headline layer without the
# anchor, and once more without one persona that is far from all others.

# %%
cosine = study.cosine[study.headline_layer].select(study.personas)
divergence = study.divergence["full"].select(study.personas)
seed, permutations = study.alignment["seed"], study.alignment["permutations"]
null = mantel([cosine], divergence, Permutations.free(len(cosine), permutations, seed))
print(f"ρ = {null.observed[0]:.3f}, Mantel p = {null.p_values()[0]:.5f}")

far = max(study.personas, key=lambda name: divergence.to_frame()[name].mean())
fewer = mantel(
    [cosine.without(far)],
    divergence.without(far),
    Permutations.free(len(cosine) - 1, permutations, seed),
)
print(f"without {far}: ρ = {fewer.observed[0]:.3f}")

# %% [markdown]
# ## One figure

# %%
figure = Figure(figsize=(3.5, 3), layout="constrained")
axis = figure.subplots()
axis.scatter(cosine.ranks / 2, divergence.ranks / 2, s=6, alpha=0.6)
axis.set_xlabel(f"Rank of cosine distance, layer {study.headline_layer}")
axis.set_ylabel("Rank of JS divergence")
figure.savefig("results/demo/notebook.png", dpi=150)
figure  # noqa: B018

# %% [markdown]
# ## One pair, token by token
#
# Where in a response would two personas have spoken differently? JS is at most ln 2 = 0.693 nats.

# %%
prompt = study.responses.index[0]
first, second = "poet", "surgeon"
tokens = study.token_divergences(prompt, first, second)
print(study.responses.loc[prompt, "text"])
print(f"{first} and {second} differ by {tokens['js'].mean():.3f} nats a token")
print(tokens.nlargest(5, "js"))
