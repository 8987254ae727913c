// What calls about keys have beside the fields of all calls, read from JSON.
#pragma once

#include "tests/history/history.h"
#include "tests/history/json_fields.h"

namespace holdfast::history {

void add_key_arguments(Fields& fields, Arguments& arguments);
void add_key_answer(Fields& fields, Answer& answer);

}  // namespace holdfast::history
