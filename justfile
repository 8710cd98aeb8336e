# Recipes for working on Assay and with it. `just --list` shows them.

set positional-arguments

# Runs an experiment.
run experiment *options:
    cargo run --release -- run "$@"

# Shows what a run would do.
plan experiment *options:
    cargo run --release -- plan "$@"

# Says why a step would be run.
why experiment label *options:
    cargo run --release -- why "$@"

# Prints the results that are in the store.
show experiment *options:
    cargo run --release -- show "$@"

# Says what the experiments in this folder do not need; `--delete` removes it.
gc *options:
    cargo run --release -- gc experiments/*.ron "$@"

# Runs the tests.
test *options:
    cargo test --workspace "$@"

# Prints the benchmarks; they are not part of the tests.
bench *options:
    cargo bench -p assay-nn -p assay-probe -p assay-lab -p assay-cli "$@"

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --open

# Everything that must pass before a change lands.
ci:
    .ci/run

# Trains the weights of experiments/fewshot.ron anew; the files are written over.
pretrain:
    cargo run --release -- run experiments/pretrain.ron
    rm -f experiments/weights/conv4-simclr.safetensors experiments/weights/conv4-supervised.safetensors
    cargo run --release -- export experiments/pretrain.ron conv4-simclr experiments/weights/conv4-simclr.safetensors
    cargo run --release -- export experiments/pretrain.ron conv4-supervised experiments/weights/conv4-supervised.safetensors

# Begins a protocol as a copy of the simplest one, which can be planned and run at once.
new-protocol name:
    .ci/new-protocol "$@"
