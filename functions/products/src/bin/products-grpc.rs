//! `POST /arcana.product.v1.ProductService/{method}`: the catalogue over gRPC-Web and Connect.
fn main() -> shared::Exit {
    shared::run(&products::grpc::FUNCTION)
}
