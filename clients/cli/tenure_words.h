// Why a tenure of a lock ended, in words.
#pragma once

#include "gen/cpp/holdfast_types.h"

namespace holdfast::cli {

const char* end_reason_words(api::EndReason::type reason);

}  // namespace holdfast::cli
