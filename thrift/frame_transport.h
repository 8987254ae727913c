// Thrift transports over bytes that are in memory already. TMemoryBuffer could do this, but builds
// a new buffer and configuration each time it is pointed at other bytes; these two are reused for
// every frame without an allocation, and tell Thrift the frame's real size, so that no length
// inside it can claim more than the frame has.
#pragma once

#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TVirtualTransport.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

/// Reads one frame in place. The bytes must outlive the reading. Not thread-safe.
class FrameReader final
    : public apache::thrift::transport::TVirtualTransport<FrameReader,
                                                          apache::thrift::transport::TBufferBase> {
 public:
  using Exception = apache::thrift::transport::TTransportException;

  FrameReader() = default;
  void reset(std::string_view frame) {
    // Thrift wants a mutable pointer; nothing is written through it.
    auto* bytes = reinterpret_cast<uint8_t*>(const_cast<char*>(frame.data()));
    setReadBuffer(bytes, static_cast<uint32_t>(frame.size()));
    resetConsumedMessageSize();
    resetConsumedMessageSize(static_cast<long>(frame.size()));
  }
  /// Bytes of the frame not yet read.
  std::string_view rest() const {
    return {reinterpret_cast<const char*>(rBase_), static_cast<size_t>(rBound_ - rBase_)};
  }
  bool isOpen() const override { return true; }

 protected:
  uint32_t readSlow(uint8_t*, uint32_t) override {
    throw Exception(Exception::END_OF_FILE, "the frame ends inside a value");
  }
  const uint8_t* borrowSlow(uint8_t*, uint32_t*) override { return nullptr; }
  void writeSlow(const uint8_t*, uint32_t) override {
    throw Exception(Exception::BAD_ARGS, "this transport only reads");
  }
};

/// Appends to a string that the caller owns. Not thread-safe.
class FrameWriter final : public apache::thrift::transport::TVirtualTransport<FrameWriter> {
 public:
  FrameWriter() = default;
  /// What is written from now on is appended to `out`, which must outlive the writing.
  void reset(std::string& out) { out_ = &out; }
  void write(const uint8_t* bytes, uint32_t size) {
    out_->append(reinterpret_cast<const char*>(bytes), size);
  }
  bool isOpen() const override { return true; }

 private:
  std::string* out_ = nullptr;
};

}  // namespace holdfast
