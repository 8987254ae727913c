// Errors as values. The code numbers are those of thrift/holdfast.thrift (held equal by a
// static_assert in coordinator/server), so that an error travels from apply to the client
// unchanged. A failed disk is no client's affair: its code stands outside of their range.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace holdfast {

enum class ErrorCode : int {
  kOk = 0,
  kBadArgument = 1,
  kTooLarge = 2,
  kLimitExceeded = 3,
  kUnsupported = 4,
  kUnauthenticated = 5,
  kPermissionDenied = 6,
  kNoLeader = 7,
  kTimeout = 8,
  kOverloaded = 9,
  kNoSpace = 10,
  kShuttingDown = 11,
  kSuperseded = 12,
  kOutcomeUnknown = 13,
  kResultForgotten = 14,
  kSessionExpired = 15,
  kSessionUnknown = 16,
  kNotHeld = 17,
  kStaleToken = 18,
  kNoKey = 19,
  kKeyExists = 20,
  kBadVersion = 21,
  kNotEmpty = 22,
  kCorrupt = 23,
  kInternal = 24,
  kDiskFailed = 1000,  ///< a read, write or sync failed: the process ends rather than guess
};

/// The code's name as clients see it, e.g. "BAD_ARGUMENT".
const char* error_code_name(ErrorCode code);

/// A code and one sentence for a person, with the offending value and the limit in it.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  friend bool operator==(const Error&, const Error&) = default;
};

/// Either a value or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    HF_CHECK(ok(), "value() of an error");
    return std::get<0>(state_);
  }
  const T& value() const {
    HF_CHECK(ok(), "value() of an error");
    return std::get<0>(state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    HF_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

/// Result of something that yields nothing: ok, or an Error.
using Status = Result<std::monostate>;
inline Status ok_status() { return Status(std::monostate{}); }

}  // namespace holdfast
