// Assertions about our own code. They stay on in production: a node that finds itself inconsistent
// stops rather than guess. Never for bytes that come from a client, a peer, a disk or an operator.
#pragma once

namespace holdfast {

/// Prints file, line, condition and message on standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const char* message);

}  // namespace holdfast

#define HF_CHECK(condition, message)                 \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::holdfast::check_failed(__FILE__, __LINE__, #condition, message))
