# Forwards only; everything is in assets/setup.sh and .ci/run.
.PHONY: demo test ci
demo:
	@sh assets/setup.sh demo
test:
	@sh assets/setup.sh test
ci:
	@.ci/run
