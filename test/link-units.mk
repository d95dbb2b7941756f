# For Makefiles that link a part of the library into a program or module of their own. A folder of src/ is a link unit: a program
# takes the whole folder, and what is new in the folder comes along.
#
#   $(call units,mail/* smtp/*)      the objects of these files of src/, named without .c
#
# The Makefile defines TOP, BUILD and MADE_FOR before it includes this, and names its first target before, and its other rules after.

units = $(patsubst $(TOP)/src/%.c,$(BUILD)/src/%.o,$(sort $(wildcard $(patsubst %,$(TOP)/src/%.c,$(1)))))

$(BUILD)/src/%.o: $(TOP)/src/%.c $(MADE_FOR)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

-include $(wildcard $(BUILD)/src/*/*.d)
