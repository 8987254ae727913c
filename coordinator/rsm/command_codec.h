// Commands to and from the bytes of a log entry: a CommandHeader followed by the body that its kind
// names, both in compact protocol (thrift/command.thrift). A body is encoded once, where the call
// arrives; the leader stamps the header and splices the body's bytes behind it unread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/blob.h"
#include "base/error.h"
#include "coordinator/rsm/feature_level.h"
#include "gen/cpp/command_types.h"

namespace holdfast::rsm {

/// The level that a command of this kind is written at: the lowest that has it, so that nodes of an
/// older program go on until they meet what they do not know.
int32_t level_of(command::CommandKind::type kind);

/// What makes a retry the same command: kind and body bytes.
uint64_t content_hash(command::CommandKind::type kind, std::string_view body);

/// Encodes with buffers that are reused; one thread. Body is one of command.thrift's body structs.
class CommandEncoder {
 public:
  CommandEncoder();
  ~CommandEncoder();
  CommandEncoder(const CommandEncoder&) = delete;
  CommandEncoder& operator=(const CommandEncoder&) = delete;

  /// The body's bytes; valid until the next call of body().
  template <class Body>
  std::string_view body(const Body& body);
  /// Header and body bytes as a log entry's payload: one allocation.
  Blob entry(const command::CommandHeader& header, std::string_view body);
  /// Both at once.
  template <class Body>
  Blob entry_of(const command::CommandHeader& header, const Body& body_struct) {
    return entry(header, body(body_struct));
  }

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

/// Decodes from untrusted bytes into reused structs; never allocates more than the bytes justify.
/// One thread.
class CommandDecoder {
 public:
  CommandDecoder();
  ~CommandDecoder();
  CommandDecoder(const CommandDecoder&) = delete;
  CommandDecoder& operator=(const CommandDecoder&) = delete;

  /// Reads the header; the rest of `payload` is the body.
  Status header(std::string_view payload, command::CommandHeader& header);
  /// What header() left.
  std::string_view body_bytes() const;
  /// Reads the body from what header() left; bytes behind it are an error.
  template <class Body>
  Status body(Body& body);

 private:
  struct Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace holdfast::rsm
