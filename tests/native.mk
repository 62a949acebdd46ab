# How a program of tests in C is built and run; included by tests/core/Makefile
# and tests/ipc/Makefile, which set
#
#   NAME      of the folder of the tests
#   LAYERS    folders of src that are tested
#   TINY      flags of a second program, in which what is rare is the rule
#
# Each target builds and runs both programs in one configuration:
#
#   make -C tests/core plain     optimized, as in the extension
#   make -C tests/core posix     the same with the portable half of the port
#   make -C tests/core tsan      ThreadSanitizer
#   make -C tests/core asan      AddressSanitizer with leak check
#   make -C tests/core ubsan     UndefinedBehaviorSanitizer
#   make -C tests/core all       all of these
#   make -C tests/core musl      with musl's C library, by musl-gcc
#   make -C tests/core aarch64   for another processor, a tenth of it, by
#                                aarch64-linux-gnu-gcc and qemu-aarch64
#   ... ARGS="--seed 7 --scale 0.5 --only queue"  CC=clang  BUILD=directory

ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
BUILD ?= $(ROOT)/build/$(NAME)
CC ?= cc
ARGS ?=

FOLDERS := $(LAYERS:%=$(ROOT)/src/%) $(ROOT)/tests/check $(ROOT)/tests/$(NAME)
SOURCES := $(filter-out %/smoke.c,$(wildcard $(FOLDERS:%=%/*.c)))
INPUTS := $(SOURCES) $(wildcard $(FOLDERS:%=%/*.h)) $(ROOT)/tests/native.mk \
          $(ROOT)/tests/$(NAME)/Makefile
FLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wshadow \
         -Wconversion -Werror -pthread -g -fvisibility=hidden \
         -I$(ROOT)/src -I$(ROOT)/tests/check -I$(ROOT)/tests/$(NAME)
# What tests/check counts and lets fail.
WRAPPED := malloc aligned_alloc calloc free mmap memfd_create shm_open mkstemp \
           ftruncate fallocate posix_fallocate fstat eventfd pipe read pread \
           write poll pthread_create pthread_setspecific syscall \
           pthread_cond_wait pthread_cond_timedwait nanosleep
SHIM := $(WRAPPED:%=-Wl,--wrap=%)

MODES := plain posix tsan asan ubsan
OTHERS := musl aarch64
MODE_plain := -O3
MODE_posix := -O3 -DFC_PORT_POSIX
MODE_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
MODE_asan := -O1 -fsanitize=address -fno-omit-frame-pointer
MODE_ubsan := -O1 -fsanitize=undefined -fno-sanitize-recover=all
MODE_musl := -O3
MODE_aarch64 := -O3 -static
$(BUILD)/musl/%: CC := musl-gcc
$(BUILD)/aarch64/%: CC := aarch64-linux-gnu-gcc
aarch64: RUN := qemu-aarch64
aarch64: ARGS := --scale 0.1

# No suppressions.
# Sizes that no memory can be had for are asked for: the answer is NULL.
export TSAN_OPTIONS := halt_on_error=1 second_deadlock_stack=1 \
                       allocator_may_return_null=1
export ASAN_OPTIONS := detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS := print_stacktrace=1

.PHONY: all smoke clean $(MODES) $(OTHERS)
all: $(MODES)

$(BUILD)/%/test: $(INPUTS)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(SHIM) $(MODE_$*) $(SOURCES) -o $@

$(BUILD)/%/test-tiny: $(INPUTS)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(SHIM) $(MODE_$*) $(TINY) $(SOURCES) -o $@

$(MODES) $(OTHERS): %: $(BUILD)/%/test $(BUILD)/%/test-tiny
	$(RUN) $(BUILD)/$*/test $(ARGS)
	$(RUN) $(BUILD)/$*/test-tiny $(ARGS)

clean:
	rm -rf $(BUILD)
