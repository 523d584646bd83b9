//! A session: inputs that are open for queries.

use crate::allowed;
use crate::differences::ExactDifferences;
use crate::error::{KnownNames, QueryError};
use crate::input::lock;
use crate::inputs::Inputs;
use crate::options::Options;
use crate::table::{InputTable, TableOfPaths};
use crate::{functions, interrupts, order, pauses, statements, table_functions, views};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use binframe::ir::{TABLES, catching_panics};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use futures::future::{Either, select};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Batches of an answer that are computed ahead of their reader.
const BATCHES_AHEAD: usize = 4;

/// Inputs that are open for queries, with the tables of the registry, views and functions.
pub struct Session {
    context: SessionContext,
    inputs: Arc<Inputs>,
    /// `None` only while the session is dropped.
    runtime: Option<Runtime>,
    /// The number of times that Ctrl-C was pressed.
    interrupts: Mutex<watch::Receiver<u64>>,
}

/// The rows of a query, computed while they are read.
pub struct Answer<'a> {
    session: &'a Session,
    query: String,
    stream: SendableRecordBatchStream,
    interrupts: watch::Receiver<u64>,
}

impl Session {
    /// Opens executables and datasets. An executable is analyzed when a query needs it, as far as the query needs.
    pub fn open(paths: &[PathBuf], options: Options) -> Result<Self, QueryError> {
        let runtime = Builder::new_multi_thread().worker_threads(options.threads).build();
        let runtime =
            runtime.map_err(|error| QueryError::failed(format!("cannot start threads: {error}")))?;
        let inputs = Arc::new(Inputs::open(paths, options)?);
        let context = context(&inputs).map_err(|error| QueryError::of(&error, "", &KnownNames::default()))?;
        let interrupts = Mutex::new(interrupts::receiver());
        let session = Self { context, inputs, runtime: Some(runtime), interrupts };
        for view in views::VIEWS {
            session.run(&view.definition())?;
        }
        Ok(session)
    }

    /// The inputs.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Plans one statement and starts to compute its rows.
    pub fn query(&self, query: &str) -> Result<Answer<'_>, QueryError> {
        let failure = |error: DataFusionError| QueryError::of(&error, query, &self.known_names());
        let statement = statements::parse_one(query)?;
        let answer = async {
            let plan = self.context.state().statement_to_plan(statement).await?;
            SQLOptions::new().with_allow_dml(false).verify_plan(&plan)?;
            allowed::verify_plan(&plan)?;
            let frame = self.context.execute_logical_plan(plan).await?;
            let context = Arc::new(frame.task_ctx());
            let stream = execute_stream(frame.create_physical_plan().await?, context)?;
            // A task of its own: the reader can stop waiting even if an operator does not yield.
            Ok(spawn_buffered(stream, BATCHES_AHEAD))
        };
        let mut interrupts = self.interrupts().clone();
        let stream = catching_panics(|| self.interruptible(answer, &mut interrupts));
        let stream = stream.map_err(|message| QueryError::of_panic(&message))??.map_err(failure)?;
        Ok(Answer { session: self, query: query.to_owned(), stream, interrupts })
    }

    /// Runs a statement and discards its rows.
    fn run(&self, query: &str) -> Result<(), QueryError> {
        let mut answer = self.query(query)?;
        while answer.next().transpose()?.is_some() {}
        Ok(())
    }

    fn known_names(&self) -> KnownNames {
        let functions = table_functions::TABLE_FUNCTIONS.iter();
        let table_functions = functions.map(|function| function.name.to_owned()).collect();
        KnownNames { tables: self.table_names(), table_functions }
    }

    /// The names of tables and views, sorted.
    pub fn table_names(&self) -> Vec<String> {
        let catalog = self.context.catalog(CATALOG);
        let schema = catalog.and_then(|catalog| catalog.schema(SCHEMA));
        let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
        names.sort();
        names
    }

    /// The names of functions, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.context.state();
        let scalar = state.scalar_functions().keys();
        let names = scalar.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys());
        let mut names: Vec<_> = names.chain(state.table_functions().keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// The columns of a table or view; `None` if there is none of that name.
    pub fn columns(&self, table: &str) -> Option<SchemaRef> {
        let provider = self.runtime().block_on(self.context.table_provider(table)).ok()?;
        Some(provider.schema())
    }

    /// Discards earlier presses of Ctrl-C, so that they do not interrupt the next query.
    pub fn forget_interrupts(&self) {
        self.interrupts().mark_unchanged();
    }

    fn interrupts(&self) -> MutexGuard<'_, watch::Receiver<u64>> {
        lock(&self.interrupts)
    }

    /// Runs `work` until it is done or Ctrl-C is pressed.
    fn interruptible<T>(
        &self,
        work: impl Future<Output = T>,
        interrupts: &mut watch::Receiver<u64>,
    ) -> Result<T, QueryError> {
        let work = std::pin::pin!(work);
        match self.runtime().block_on(select(std::pin::pin!(interrupts.changed()), work)) {
            Either::Left(_) => Err(QueryError::Interrupted),
            Either::Right((done, _)) => Ok(done),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("a session has a runtime until it is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Does not wait for passes that still run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Answer<'_> {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        match catching_panics(|| self.session.interruptible(self.stream.next(), &mut self.interrupts)) {
            Err(message) => Some(Err(QueryError::of_panic(&message))),
            Ok(Ok(batch)) => {
                let failure =
                    |error: DataFusionError| QueryError::of(&error, &self.query, &KnownNames::default());
                Some(batch?.map_err(failure))
            }
            Ok(Err(interrupted)) => Some(Err(interrupted)),
        }
    }
}

/// The catalog and the schema of all tables. Queries do not need to name them.
const CATALOG: &str = "binframe";
const SCHEMA: &str = "main";

fn context(inputs: &Arc<Inputs>) -> Result<SessionContext, DataFusionError> {
    let options = inputs.options();
    let mut config = SessionConfig::new()
        .with_target_partitions(options.threads)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_information_schema(true);
    config.options_mut().sql_parser.collect_spans = true;
    order::set_options(config.options_mut());
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(
            usize::try_from(options.memory / 2).unwrap_or(usize::MAX),
        )))
        .with_disk_manager_builder(DiskManagerBuilder::default())
        .build_arc()?;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(order::KeepOrder))
        .with_physical_optimizer_rule(Arc::new(pauses::PauseJoins))
        .build();
    state.register_expr_planner(Arc::new(ExactDifferences))?;
    let context = SessionContext::new_with_state(state);
    for table in TABLES.iter().copied() {
        context.register_table(table.name, Arc::new(InputTable::new(inputs, table)))?;
        context.register_udtf(table.name, Arc::new(TableOfPaths { table, inputs: Arc::clone(inputs) }));
    }
    // Their results can have any size, and are not counted by the memory pool.
    for name in ["repeat", "lpad", "rpad"] {
        context.deregister_udf(name);
    }
    functions::register(&context, inputs);
    table_functions::register(&context, inputs);
    Ok(context)
}
