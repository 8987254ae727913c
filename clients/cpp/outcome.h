// What a call came to: a result, or the error with all that is known of the command's fate.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/time.h"

namespace holdfast::client {

/// Why a call failed. Made from a server's HoldfastError, or by the library itself (no server
/// answered in time: kTimeout; a connection was lost: kNoLeader).
struct CallError {
  ErrorCode code = ErrorCode::kInternal;
  /// One sentence for a person.
  std::string message;
  /// False: it has changed nothing and never will. True: it may or may not have been applied.
  bool maybe_applied = false;
  /// The same call may succeed later or on another server.
  bool retryable = false;
  /// When retryable: wait this long first.
  Duration retry_after{0};
};

/// Either a value or a CallError.
template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  // NOLINTNEXTLINE: implicit
  Outcome(CallError error) : state_(std::in_place_index<1>, std::move(error)) {}
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
  CallError& error() {
    HF_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }
  const CallError& error() const {
    HF_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, CallError> state_;
};

}  // namespace holdfast::client
