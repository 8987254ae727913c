// What a command came to: the plain form that is kept for exactly-once, sent in effects and turned
// into API structs by the server.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/ids.h"

namespace holdfast::session {

/// Which fields mean something depends on the command; unused ones are zero. Enum numbers are those
/// of thrift/holdfast.thrift, so that the server only casts them.
struct CommandResult {
  ErrorCode code = ErrorCode::kOk;  ///< else refused: `message` says why and the rest is zero
  uint8_t kind = 0;                 ///< CommandKind of thrift/command.thrift
  uint8_t status = 0;               ///< acquire, cancel: AcquireStatus; release: ReleaseStatus;
                                    ///< transact: 1 if the compares held
  uint8_t reason = 0;               ///< NOT_GRANTED: RefusalReason
  uint8_t end_reason = 0;           ///< NOT_HELD: EndReason
  uint32_t count = 0;               ///< revokeLock: holders concerned; remove: keys that went
  Revision id;                      ///< acquire: holder id; open: session id; revoke: notice id;
                                    ///< writes of keys: their revision
  Revision token;                   ///< GRANTED, NOT_HELD: fencing token
  uint64_t position = 0;            ///< WAITING: waiters before it, plus one; never kept
  int64_t ttl_ms = 0;               ///< open: the TTL granted
  uint64_t version = 0;             ///< put, create: the key's version
  std::string message;              ///< of an error, at most kResultMessageBytes
  std::string payload;              ///< create: the path of a sequential key; transact: an encoded
                                    ///< TransactOutcome

  bool window_full = false;  ///< refused for that, and not recorded: there may be room later

  friend bool operator==(const CommandResult&, const CommandResult&) = default;
};

/// Longer messages are cut before they are kept or sent, so that kept results stay small.
inline constexpr size_t kResultMessageBytes = 512;

}  // namespace holdfast::session
