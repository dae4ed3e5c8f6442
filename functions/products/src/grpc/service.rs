//! The seven methods: each reads its message, has the same work done as the endpoint of REST, and answers a message.

use std::future::{Future, ready};
use std::sync::Arc;

use buffa::{Inline, Message, MessageField};
use connectrpc::{ConnectError, RequestContext, ServiceRequest, ServiceResult};
use shared::admission::Admission;
use shared::caller::{Admin, Guard, SignedIn, Visitor};
use shared::products::Product;
use shared::{Error, Init, Request, Result};

use super::reply::Reply;
use super::{FUNCTION, message, status};
use crate::create::Create;
use crate::delete::Delete;
use crate::get::Get;
use crate::list::{Found, List};
use crate::proto::arcana::product::v1::{
    self as proto, CreateProductRequest, CreateProductResponse, DeleteProductRequest, DeleteProductResponse,
    GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse, ProductService,
    SearchProductsRequest, SearchProductsResponse, UpdateProductRequest, UpdateProductResponse,
    UpdateStockRequest, UpdateStockResponse,
};
use crate::search::Search;
use crate::stock::ChangeStock;
use crate::update::Update;
use crate::visible::View;

/// What the methods need.
pub(super) struct Service {
    admission: Admission<Arc<Guard>>,
    get: Get,
    list: List,
    search: Search,
    create: Create,
    update: Update,
    stock: ChangeStock,
    delete: Delete,
}

impl Service {
    pub(super) fn init(init: &mut Init) -> Self {
        use shared::function::Endpoint as _;
        Self {
            admission: Admission::by_method(init),
            get: Get::init(init),
            list: List::init(init),
            search: Search::init(init),
            create: Create::init(init),
            update: Update::init(init),
            stock: ChangeStock::init(init),
            delete: Delete::init(init),
        }
    }

    /// Answers what `work` reads for whoever calls.
    async fn read<M: Message, F>(
        &self,
        context: &RequestContext,
        work: impl FnOnce(View) -> F + Send,
    ) -> ServiceResult<M>
    where
        F: Future<Output = Result<M>> + Send,
    {
        let request = request(context)?;
        let work = |caller: Visitor| work(View::of(&caller));
        let message = Box::pin(self.admission.read(&request, work)).await;
        message.map_err(|error| told(&request, &error)).and_then(connectrpc::Response::ok)
    }

    /// The status of a call whose message is at fault, unless its caller may not call at all.
    pub(super) async fn malformed(&self, request: &Request, writes: bool, error: Error) -> ConnectError {
        let admitted = if writes {
            self.admission.read(request, |_: Admin| ready(Ok(()))).await
        } else {
            self.admission.read(request, |_: Visitor| ready(Ok(()))).await
        };
        told(request, &admitted.err().unwrap_or(error))
    }

    /// Answers what `work` does for an admin, once under an `Idempotency-Key`.
    async fn write<M: Message, F>(
        &self,
        context: &RequestContext,
        work: impl FnOnce(SignedIn, Request) -> F + Send,
    ) -> ServiceResult<M>
    where
        F: Future<Output = Result<Reply<M>>> + Send,
    {
        let request = request(context)?;
        let work = |Admin(caller): Admin| work(caller, request.clone());
        let reply = Box::pin(self.admission.write(&request, work)).await;
        reply.map_err(|error| told(&request, &error)).and_then(|Reply(answer)| answer)
    }
}

/// The request that a call came in.
pub(super) fn request(context: &RequestContext) -> Result<Request, ConnectError> {
    let request = context.extensions().get::<Request>().cloned();
    request.ok_or_else(|| status::of(&Error::internal("a call without its request")))
}

/// The status of an error, which is logged if it is ours.
fn told(request: &Request, error: &Error) -> ConnectError {
    if error.row().status.is_server_error() {
        let origin = request.origin();
        error.log(FUNCTION.name, &origin.request_id, &origin.correlation_id);
    }
    status::of(error)
}

fn shown(product: Product) -> Result<MessageField<proto::Product, Inline<proto::Product>>> {
    message::product(product).map(MessageField::some)
}

#[expect(refining_impl_trait, reason = "which message a method answers is in its contract")]
impl ProductService for Service {
    async fn get_product(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, GetProductRequest>,
    ) -> ServiceResult<GetProductResponse> {
        let GetProductRequest { id, .. } = request.to_owned_message();
        let get = |view| async move {
            let product = self.get.product(view, message::product_id(&id, "id")?).await?;
            Ok(GetProductResponse { product: shown(product)?, ..GetProductResponse::default() })
        };
        self.read(&context, get).await
    }

    async fn list_products(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, ListProductsRequest>,
    ) -> ServiceResult<ListProductsResponse> {
        let asked = request.to_owned_message();
        let list = |view| async move {
            let Found { page, products, total, next } = self.list.page(view, message::list(asked)?).await?;
            Ok(ListProductsResponse {
                products: products.into_iter().map(message::product).collect::<Result<_>>()?,
                total,
                page: i32::try_from(page.number).map_err(Error::internal)?,
                size: i32::try_from(page.size).map_err(Error::internal)?,
                has_next: next.is_some(),
                next_cursor: next.unwrap_or_default(),
                ..ListProductsResponse::default()
            })
        };
        self.read(&context, list).await
    }

    async fn search_products(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, SearchProductsRequest>,
    ) -> ServiceResult<SearchProductsResponse> {
        let asked = request.to_owned_message();
        let search = |view| async move {
            let (found, incomplete) = self.search.search(view, message::search(asked)?).await?;
            let products = found.into_iter().map(message::product).collect::<Result<_>>()?;
            Ok(SearchProductsResponse { products, incomplete, ..SearchProductsResponse::default() })
        };
        self.read(&context, search).await
    }

    async fn create_product(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateProductRequest>,
    ) -> ServiceResult<CreateProductResponse> {
        let asked = request.to_owned_message();
        let answer = |product: &Product| {
            let product = shown(product.clone())?;
            Ok(Reply::ok(CreateProductResponse { product, ..CreateProductResponse::default() }))
        };
        let create = |caller: SignedIn, request: Request| async move {
            self.create.create(&caller, request.origin(), message::create(asked)?, answer).await
        };
        self.write(&context, create).await
    }

    async fn update_product(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateProductRequest>,
    ) -> ServiceResult<UpdateProductResponse> {
        let asked = request.to_owned_message();
        let update = |caller: SignedIn, request: Request| async move {
            let (changes, id) = message::update(asked)?;
            let product = self.update.update(&caller, &request, id, &changes).await?;
            Ok(Reply::ok(UpdateProductResponse {
                product: shown(product)?,
                ..UpdateProductResponse::default()
            }))
        };
        self.write(&context, update).await
    }

    async fn update_stock(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateStockRequest>,
    ) -> ServiceResult<UpdateStockResponse> {
        let asked = request.to_owned_message();
        let answer = |product: &Product| {
            let product = shown(product.clone())?;
            Ok(Reply::ok(UpdateStockResponse { product, ..UpdateStockResponse::default() }))
        };
        let change = |caller: SignedIn, request: Request| async move {
            let (id, change) = message::stock_change(&asked)?;
            self.stock.change(&caller, &request, id, change, answer).await
        };
        self.write(&context, change).await
    }

    async fn delete_product(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteProductRequest>,
    ) -> ServiceResult<DeleteProductResponse> {
        let DeleteProductRequest { id, .. } = request.to_owned_message();
        let delete = |caller: SignedIn, request: Request| async move {
            let answer = || Reply::ok(DeleteProductResponse::default());
            self.delete.delete(&caller, &request, message::product_id(&id, "id")?, answer).await
        };
        self.write(&context, delete).await
    }
}
