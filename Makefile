.DEFAULT_GOAL := help
.PHONY: help check lint types test proof tensorboard sweep benchmark

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

check: lint types test ## All that CI runs

lint: ## Style (ruff)
	ruff check .
	ruff format --check .

types: ## Types (mypy)
	mypy

test: ## Tests, in parallel (pytest)
	pytest

proof: ## The statistics on thousands of simulated sweeps (minutes)
	pytest -m slow -rP

sweep: ## Three activations, two seeds, on all cores
	python train.py -m activation=relu,tanh,gelu seed=0,1

tensorboard: ## Look at all runs in the browser
	tensorboard --logdir outputs

benchmark: ## This training loop beside others (pip install -e ".[bench]" adds Keras)
	python -m benchmarks
