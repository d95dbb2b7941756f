# Makefiles include this file to link a part of the library into a program or module. A folder of
# src/ is a link unit. A program links the whole folder, so new files of the folder are linked, too.
#
#   $(call units,mail/* smtp/*)      the objects of these files of src/, named without .c
#
# The Makefile defines TOP, BUILD, MADE_FOR and its first target before it includes this file. Its
# other rules come afterwards.

units = $(patsubst $(TOP)/src/%.c,$(BUILD)/src/%.o,$(sort $(wildcard $(patsubst %,$(TOP)/src/%.c,$(1)))))

$(BUILD)/src/%.o: $(TOP)/src/%.c $(MADE_FOR)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

-include $(wildcard $(BUILD)/src/*/*.d)
