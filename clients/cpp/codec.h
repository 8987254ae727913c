// Calls to bytes and back: Thrift's compact protocol, one message a frame. Bytes from a server are
// judged here: what is malformed, truncated, oversized or followed by more is refused as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "clients/cpp/calls.h"
#include "clients/cpp/outcome.h"

namespace holdfast::client {

/// The HoldfastError of the IDL as the library's own error.
CallError to_call_error(const api::HoldfastError& error);

/// Encoder and decoder with reused buffers; one per connection, one thread.
class Codec {
 public:
  Codec();
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  /// Appends the message of one call to `out`.
  template <class Call>
  void encode(int32_t seqid, const api::RequestContext& context,
              const typename Call::Request& request, std::string& out);

  /// Starts on one reply frame, which must outlive the decoding. False: not a reply at all.
  bool begin_reply(std::string_view frame);
  /// Of the reply begun.
  int32_t seqid() const { return seqid_; }
  const std::string& name() const { return name_; }

  /// Decodes the rest of the reply begun. False: malformed, or another call's reply. On true
  /// exactly one of `result` and `error` was filled: `*failed` says which. `header` gets the
  /// answer's header in both cases; it stays empty if a server did not know the method.
  template <class Call>
  bool read_reply(typename Call::Result& result, api::HoldfastError& error, bool* failed);

 private:
  struct Protocols;
  bool read_application_exception(api::HoldfastError& error);

  std::unique_ptr<Protocols> protocols_;
  std::string name_;
  int32_t seqid_ = 0;
  bool is_exception_ = false;
};

}  // namespace holdfast::client
