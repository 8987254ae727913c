#include "base/error.h"

#include <array>

namespace holdfast {

const char* error_code_name(ErrorCode code) {
  static constexpr std::array kNames = {"OK",
                                        "BAD_ARGUMENT",
                                        "TOO_LARGE",
                                        "LIMIT_EXCEEDED",
                                        "UNSUPPORTED",
                                        "UNAUTHENTICATED",
                                        "PERMISSION_DENIED",
                                        "NO_LEADER",
                                        "TIMEOUT",
                                        "OVERLOADED",
                                        "NO_SPACE",
                                        "SHUTTING_DOWN",
                                        "SUPERSEDED",
                                        "OUTCOME_UNKNOWN",
                                        "RESULT_FORGOTTEN",
                                        "SESSION_EXPIRED",
                                        "SESSION_UNKNOWN",
                                        "NOT_HELD",
                                        "STALE_TOKEN",
                                        "NO_KEY",
                                        "KEY_EXISTS",
                                        "BAD_VERSION",
                                        "NOT_EMPTY",
                                        "CORRUPT",
                                        "INTERNAL"};
  const auto at = static_cast<size_t>(code);
  return at < kNames.size() ? kNames[at] : "INTERNAL";
}

}  // namespace holdfast
