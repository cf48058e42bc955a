#include "server/rpc/layers/layer_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/rpc/layers/decode_create_layer.h"
#include "server/rpc/layers/describe_layer.h"
#include "server/rpc/messages/decode_layer.h"
#include "server/rpc/messages/field_error.h"
#include "server/rpc/shared/grpc_status.h"
#include "server/rpc/shared/trace_parent.h"

namespace attention::rpc {
namespace {

// The parts of an upload, which must come in time: for each MiB, or for the next part where that is
// larger, its peer has StallGuard::limit(). The time in which the server does something else is not
// the peer's.
class Reader {
 public:
  Reader(grpc::ServerReader<v1::UploadLayerRequest>& reader, StallGuard& stalls,
         grpc::ServerContext& rpc)
      : reader_(reader), stalls_(stalls), sending_(stalls, rpc) {}

  bool Read(v1::UploadLayerRequest& part) {
    const auto begun = engine::SteadyClock::now();
    sending_.Begin(left_);
    const bool there_is_one = reader_.Read(&part);
    sending_.End();
    left_ -= absl::FromChrono(engine::SteadyClock::now() - begun);
    const double mib = static_cast<double>(part.ByteSizeLong()) / (1 << 20);
    left_ = std::min(stalls_.limit(), left_ + mib * stalls_.limit());
    return there_is_one;
  }

 private:
  grpc::ServerReader<v1::UploadLayerRequest>& reader_;
  const StallGuard& stalls_;
  StallGuard::Wait sending_;
  absl::Duration left_ = stalls_.limit();
};

absl::Status CheckHeader(const v1::UploadLayerHeader& header) {
  absl::Status status = CheckLayerName(header.name(), "header.name");
  if (!status.ok()) return status;
  if (header.config_json().empty()) {
    return FieldError("header.config_json", "is empty; want the layer's config.json");
  }
  if (header.file_bytes() < 0) {
    return FieldError("header.file_bytes",
                      absl::StrCat("is ", header.file_bytes(), "; want at least 0"));
  }
  return absl::OkStatus();
}

// Whether the caller is still there: a stream that breaks off looks like one that ends.
absl::Status CheckWanted(const grpc::ServerContext& context) {
  return context.IsCancelled() ? absl::CancelledError("the call was cancelled") : absl::OkStatus();
}

// The chunks of the file, of `most` bytes unless that is 0; returns how many bytes they had.
absl::StatusOr<int64_t> ReadChunks(Reader& reader, int64_t most,
                                   engine::LayerStore::Upload& upload) {
  int64_t bytes = 0;
  v1::UploadLayerRequest part;
  while (reader.Read(part)) {
    if (!part.has_chunk()) return FieldError("part", "is no chunk; want chunks behind the header");
    const std::string& chunk = part.chunk();
    if (most > 0 && static_cast<int64_t>(chunk.size()) > most - bytes) {
      return FieldError("header.file_bytes",
                        absl::StrCat("is ", most, ", but the chunks have more"));
    }
    absl::Status status =
        upload.Write({reinterpret_cast<const std::byte*>(chunk.data()), chunk.size()});
    if (!status.ok()) return status;
    bytes += static_cast<int64_t>(chunk.size());
  }
  return bytes;
}

absl::Status CheckFile(const v1::UploadLayerHeader& header, int64_t bytes,
                       const std::string& sha256) {
  if (header.file_bytes() != 0 && header.file_bytes() != bytes) {
    return FieldError("header.file_bytes",
                      absl::StrCat("is ", header.file_bytes(), ", but the chunks have ", bytes));
  }
  if (!header.sha256().empty() && absl::AsciiStrToLower(header.sha256()) != sha256) {
    return FieldError("header.sha256",
                      absl::StrCat("is another than that of the chunks, ", sha256));
  }
  return absl::OkStatus();
}

// A bad file or config is the caller's field.
absl::Status AsField(const absl::Status& status, absl::string_view field) {
  const bool has_field = status.GetPayload("type.googleapis.com/google.rpc.BadRequest").has_value();
  if (!absl::IsInvalidArgument(status) || has_field) return status;
  return FieldError(field, absl::StrCat("cannot be used: ", status.message()));
}

absl::Status Publish(const grpc::ServerContext& context, engine::LayerStore::Upload& upload,
                     engine::LayerStore& layers, v1::Layer& response) {
  if (absl::Status status = CheckWanted(context); !status.ok()) return status;
  const auto layer = upload.Publish();
  if (!layer.ok()) return layer.status();
  const auto listed = layers.Find((*layer)->name(), (*layer)->version());
  if (!listed.ok()) return listed.status();
  Describe(*listed, /*with_config=*/true, layers, response);
  return absl::OkStatus();
}

absl::StatusOr<v1::UploadLayerHeader> ReadHeader(const grpc::ServerContext& context,
                                                 Reader& reader) {
  v1::UploadLayerRequest first;
  if (reader.Read(first) && first.has_header()) return first.header();
  if (absl::Status status = CheckWanted(context); !status.ok()) return status;
  return FieldError("part", "is no header; want a header before the chunks");
}

absl::Status Upload(const grpc::ServerContext& context, const v1::UploadLayerHeader& header,
                    Reader& reader, engine::LayerStore& layers, v1::Layer& response) {
  if (absl::Status status = CheckHeader(header); !status.ok()) return status;
  absl::StatusOr<engine::LayerStore::Upload> upload =
      layers.Begin(header.name(), header.config_json());
  if (!upload.ok()) return AsField(upload.status(), "header.config_json");
  const absl::StatusOr<int64_t> bytes = ReadChunks(reader, header.file_bytes(), *upload);
  if (!bytes.ok()) return bytes.status();
  absl::Status status = CheckWanted(context);
  if (status.ok()) status = AsField(upload->Finish(), "chunk");
  if (status.ok()) status = CheckFile(header, *bytes, upload->sha256());
  return status.ok() ? Publish(context, *upload, layers, response) : status;
}

absl::Status Create(const grpc::ServerContext& context, const v1::CreateLayerRequest& request,
                    engine::LayerStore& layers, v1::Layer& response) {
  const absl::StatusOr<engine::RandomLayerSpec> spec =
      DecodeCreateLayer(request, layers.packed().most_bytes());
  if (!spec.ok()) return spec.status();
  absl::StatusOr<engine::LayerStore::Upload> upload =
      layers.Begin(request.name(), engine::RandomLayerConfig(*spec));
  if (!upload.ok()) return AsField(upload.status(), "layer");
  absl::Status status = engine::WriteRandomLayer(*spec, [&](absl::Span<const std::byte> bytes) {
    absl::Status wanted = CheckWanted(context);
    return wanted.ok() ? upload->Write(bytes) : wanted;
  });
  if (status.ok()) status = upload->Finish();
  if (!status.ok()) return AsField(status, "layer");
  return Publish(context, *upload, layers, response);
}

absl::Status List(const v1::ListLayersRequest& request, engine::LayerStore& layers,
                  v1::ListLayersResponse& response) {
  if (request.page_size() < 0) {
    return FieldError("page_size", absl::StrCat("is ", request.page_size(), "; want at least 0"));
  }
  const absl::StatusOr<PageToken> after = ParsePageToken(request.page_token());
  if (!after.ok()) return after.status();
  absl::StatusOr<std::vector<engine::LayerStore::Listed>> all = layers.List();
  if (!all.ok()) return all.status();
  const int page = request.page_size() == 0 ? 100 : std::min(request.page_size(), 1000);
  for (const engine::LayerStore::Listed& listed : *all) {
    if (!after->IsBefore(listed)) continue;
    if (response.layers_size() == page) {
      response.set_next_page_token(PageTokenOf(response.layers(page - 1)));
      break;
    }
    Describe(listed, /*with_config=*/false, layers, *response.add_layers());
  }
  return absl::OkStatus();
}

}  // namespace

// Runs `step` unless the server is draining.
template <typename Step>
grpc::Status LayerServiceImpl::Answer(const char* method, grpc::ServerContext& rpc, Step step) {
  return Guarded([&] {
    const absl::Time started = absl::Now();
    const bool entered = calls_.Enter();
    const std::unique_ptr<CallsInFlight, void (*)(CallsInFlight*)> leave(
        entered ? &calls_ : nullptr, [](CallsInFlight* calls) { calls->Leave(); });
    const absl::Status status = entered ? step() : ShuttingDown();
    if (on_call_) {
      on_call_({.method = method,
                .status = status,
                .rpc = rpc,
                .request_id = "",
                .total = absl::Now() - started,
                .decode = absl::ZeroDuration(),
                .describe = nullptr});
    }
    EchoTraceParent(rpc);
    return AnswerWith(status, rpc);
  });
}

// Runs `step` unless too many others write already.
template <typename Step>
absl::Status LayerServiceImpl::AsWriter(Step step) {
  const std::unique_ptr<std::atomic<int>, void (*)(std::atomic<int>*)> leave(
      &writers_, [](std::atomic<int>* writers) { --*writers; });
  if (++writers_ > kMostWriters) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMostWriters, " layers are on their way already; try again later"));
  }
  return step();
}

grpc::Status LayerServiceImpl::UploadLayer(grpc::ServerContext* context,
                                           grpc::ServerReader<v1::UploadLayerRequest>* parts,
                                           v1::Layer* response) {
  return Answer("UploadLayer", *context, [&]() -> absl::Status {
    return AsWriter([&]() -> absl::Status {
      Reader reader(*parts, stalls_, *context);
      const absl::StatusOr<v1::UploadLayerHeader> header = ReadHeader(*context, reader);
      if (!header.ok()) return header.status();
      return Upload(*context, *header, reader, layers_, *response);
    });
  });
}

grpc::Status LayerServiceImpl::CreateLayer(grpc::ServerContext* context,
                                           const v1::CreateLayerRequest* request,
                                           v1::Layer* response) {
  return Answer("CreateLayer", *context, [&] {
    return AsWriter([&] { return Create(*context, *request, layers_, *response); });
  });
}

grpc::Status LayerServiceImpl::GetLayer(grpc::ServerContext* context,
                                        const v1::GetLayerRequest* request, v1::Layer* response) {
  return Answer("GetLayer", *context, [&]() -> absl::Status {
    const v1::LayerRef& ref = request->layer();
    if (absl::Status status = CheckLayerRef(ref, "layer"); !status.ok()) return status;
    const auto found = layers_.Find(ref.name(), ref.version());
    if (!found.ok()) return found.status();
    Describe(*found, /*with_config=*/true, layers_, *response);
    return absl::OkStatus();
  });
}

grpc::Status LayerServiceImpl::ListLayers(grpc::ServerContext* context,
                                          const v1::ListLayersRequest* request,
                                          v1::ListLayersResponse* response) {
  return Answer("ListLayers", *context, [&] { return List(*request, layers_, *response); });
}

grpc::Status LayerServiceImpl::DeleteLayer(grpc::ServerContext* context,
                                           const v1::DeleteLayerRequest* request,
                                           google::protobuf::Empty* /*response*/) {
  return Answer("DeleteLayer", *context, [&]() -> absl::Status {
    const v1::LayerRef& ref = request->layer();
    if (absl::Status status = CheckLayerRef(ref, "layer"); !status.ok()) return status;
    return layers_.Delete(ref.name(), ref.version());
  });
}

}  // namespace attention::rpc
